"""What a model may know: documents read, cut, indexed, searched and cited."""
