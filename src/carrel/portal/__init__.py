"""The portal: people sign in, stay signed in, and help themselves. Its pure half, so far."""
