"""Faces in photos: found, aligned, their regions masked, followed through a clip."""
