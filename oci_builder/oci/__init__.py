"""The OCI documents: descriptors, manifests, configurations, and their one spelling."""
