"""Pictures of what evaluation found."""

from unloc_jax.results.drawing.gallery import Gallery as Gallery
