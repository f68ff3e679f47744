"""The bundled network made: faces, drawn makeup, examples, losses and the loops that train and fine-tune."""
