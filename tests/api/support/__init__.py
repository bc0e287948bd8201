"""What tests and benches of the API share."""
