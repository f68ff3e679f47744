"""Photos in and out: finding, reading and writing them, here and on other machines."""
