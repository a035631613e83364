{{ duplicates_of_all() }}
