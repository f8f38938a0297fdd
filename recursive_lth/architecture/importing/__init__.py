"""What `architecture.importer` needs: tracing a module, reading its parts, naming its streams."""
