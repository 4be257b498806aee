"""Many independent measurements: jobs that run in processes, and a journal of those that are done."""
