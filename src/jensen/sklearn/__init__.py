"""Models of jensen as scikit-learn estimators: for Pipeline, GridSearchCV, clone and whatever else speaks that protocol.

`Density` scores and samples, `Embedding` transforms, `Synthesizer` draws tables like the one it was fitted to. They say
less than a `Fitted` does: plain numbers, without kind and interval. The model itself is in `fitted_`.
"""

from jensen.sklearn.density import Density
from jensen.sklearn.embedding import Embedding
from jensen.sklearn.synthesizer import Synthesizer

__all__ = ["Density", "Embedding", "Synthesizer"]
