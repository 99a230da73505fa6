import pytest

from tfmm.onboarding.names import rank


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("user", ["user_id", "userId", "uid", "UserID", "customer", "visitorid"]),
        ("item", ["item_id", "itemId", "sku", "asin", "movieId", "productId", "adId"]),
        ("time", ["time", "ts", "timestamp", "date", "event_time", "createdAt"]),
        ("label", ["click", "clicked", "is_clicked", "label", "isClick", "clk"]),
        ("request", ["request_id", "impressionId", "session_id", "reqId"]),
        ("position", ["position", "rank", "slot", "pos"]),
        ("image", ["image", "img", "photo_path", "imageUrl", "picture", "poster"]),
        ("query_text", ["query", "keywords", "search_term", "queryText"]),
    ],
)
def test_usual_spellings_fit(role, names):
    assert [name for name in names if rank(name, role) is None] == []


@pytest.mark.parametrize("role", ["user", "item", "time", "label", "request"])
def test_features_fit_no_role(role):
    for name in ("price", "category", "discount", "hour", "brand", "region"):
        assert rank(name, role) is None
