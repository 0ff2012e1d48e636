"""The AI gateway: keys stay here, and every token is counted."""
