"""Pictures, tables and pages about encoded images."""
