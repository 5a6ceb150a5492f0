"""Copy a schema whole and independent, into another schema of the same database."""
