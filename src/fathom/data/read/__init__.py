"""Reading: from any source to raw columns, before a schema is known."""
