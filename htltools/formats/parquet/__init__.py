"""Rows as Parquet, by DuckDB: read, queried and written in bounded memory."""
