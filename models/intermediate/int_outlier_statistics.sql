{{ outlier_statistics_of_all() }}
