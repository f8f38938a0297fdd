"""The outer search: tries expansion policies as whole runs of `grow`, from many processes."""
