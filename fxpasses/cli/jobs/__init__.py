"""Measurements that are many: independent jobs in processes, with a journal of what is done."""
