"""The services and the corpus are those that clones are tried with."""

from tests.acceptance.clone.conftest import bench, benches

__all__ = ["bench", "benches"]
