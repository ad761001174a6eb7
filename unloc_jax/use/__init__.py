"""What using a trained model is made of: exports, windows, encoded videos."""
