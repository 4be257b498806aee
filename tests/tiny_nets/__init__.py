"""Small unusual nets on which every pass and every exporter is tried."""
