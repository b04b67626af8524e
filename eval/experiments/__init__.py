"""Measurements made once, whose conclusions stand in checkpoints/LOG.md and eval/results.md; the
package needs none of them."""
