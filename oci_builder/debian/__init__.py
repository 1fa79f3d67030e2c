"""A root filesystem from Debian packages: no root, no chroot, no maintainer script."""
