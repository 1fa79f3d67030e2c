"""Updates: an archive that holds only what differs between two images, and that stock ``docker load`` takes."""
