"""Save and load graphs as ``.pt2`` files, without pickle."""
