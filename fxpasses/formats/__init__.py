"""The formats of the files this package reads: what each may hold, checked once, where the file is opened.

Pydantic models say it; JSON Schema files made of them lie beside them (``schema_files.py``), and ``docs/formats.md``
explains them. Pydantic is imported where a file is checked, not before.
"""
