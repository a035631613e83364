{{ correction_candidates_of_all() }}
