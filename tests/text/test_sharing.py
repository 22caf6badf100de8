"""What the tests share: computed once, by whichever file or worker asks first, with its warnings."""

import warnings

import pytest
import sharing


def test_a_value_is_computed_once_and_its_warnings_come_each_time(tmp_path, monkeypatch):
    monkeypatch.setenv(sharing.FOLDER, str(tmp_path))
    computed = []

    def double(x):
        computed.append(x)
        warnings.warn("slowly", UserWarning, stacklevel=1)
        return 2 * x

    for answer in (sharing.shared(double), sharing.shared(double)):  # as in two workers
        for _ in range(2):
            with pytest.warns(UserWarning, match="slowly"):
                assert answer(3) == 6
    assert computed == [3]
    with pytest.warns(UserWarning), pytest.raises(TypeError):
        sharing.shared(double)(lambda: 1)  # what cannot be pickled is computed
    assert len(computed) == 2
