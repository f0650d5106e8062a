"""What runs inside Jobs."""
