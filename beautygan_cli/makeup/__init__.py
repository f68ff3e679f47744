"""The makeup of references put onto faces, and taken off: looks, the network's change, and its place in the photo."""
