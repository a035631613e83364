{{ published('events') }}
