"""The demo: four hospitals train a model together on one machine, from nothing to a decrypted snapshot."""
