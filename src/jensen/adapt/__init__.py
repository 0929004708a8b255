"""Views of other people's models, so that they can be scored, compared and audited."""
