"""The LSTM: its weights with one compiled forward pass, and its training by PyTorch."""
