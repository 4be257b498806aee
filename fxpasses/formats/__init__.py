"""The formats of the files that this package reads; each file is checked once, when it is opened.

The formats are Pydantic models; JSON Schema files made from them lie beside them (``schema_files.py``), and
``docs/formats.md`` explains them. Pydantic is imported only when a file is checked.
"""
