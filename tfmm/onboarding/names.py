"""How columns and files are usually called."""

import re

_ID = r"_?(id|ids|no|key|hash|code|num|number|idx)"
_USERS = r"(user|customer|member|visitor|shopper|buyer|client|account|reviewer|viewer)"
_ITEMS = r"(item|product|article|movie|goods|sku|parent_asin|asin)"
_THINGS = (
    r"(film|book|song|track|video|news|doc|document|listing|ad|ad_?group|creative|"
    r"content|offer|business|poi|recipe|game|post|style|target_item)"
)
_MOMENT = r"(timestamp|ts|time|date_?time|date|time_stamp|epoch)(_?(ms|us|s|sec|utc))?"

# Best first: the column that fits the earliest pattern takes the role.
ROLES: dict[str, tuple[str, ...]] = {
    "user": (_USERS + _ID, r"uid|u_id", _USERS),
    "item": (_ITEMS + _ID, r"iid|i_id", _ITEMS, _THINGS + _ID, r"pid|gid|mid|isbn|ean"),
    "time": (
        _MOMENT,
        rf"(event|impression|click|request|log|unix|server|view|review|order)_{_MOMENT}",
        r"[a-z_]+_at",
        rf"[a-z_]+_{_MOMENT}",
        r"t|dt",
    ),
    "label": (
        r"(is_|has_|was_|label_)?click(ed)?(_label)?|clk",
        r"label|target|y|response|is_positive",
        r"(is_|has_|was_)?(conver(ted|sion)|purchased?|bought|buy|order(ed)?|liked?)",
        r"(is_|has_|was_)?(cart|added_to_cart|favou?rite|shared?|watched|played)",
        r"label_[a-z_0-9]+|[a-z_0-9]+_label|is_[a-z]*(click|buy|like)[a-z]*",
    ),
    "request": (
        r"(request|req|impression|imp|slate|display|list|page_?view)" + _ID,
        r"(search|srch|query|session|sess)" + _ID,
        r"request|impression|session",
    ),
    "position": (r"position|pos|rank|slot|item_position|place|ranking|list_index",),
    "base_score": (
        r"base_?score|p_?ctr|ctr_score|predicted_ctr|model_score|prediction|score",
    ),
    "type": (
        r"(event|action|behaviou?r|activity|interaction)(_?(type|name|kind))?|type",
    ),
    "title": (
        r"title",
        r"(item|product|movie|article|goods)_?(title|name)|name|headline",
        r"short_description|description|text",
    ),
    "image": (
        r"image|img|picture|photo|pic|poster|thumbnail|cover",
        r"[a-z_]*(image|img|picture|photo|pic|poster|thumb(nail)?|cover)"
        r"_?(path|url|uri|file|bytes|link|s)?",
        r"path|url|uri|file|filename",
    ),
    "query_text": (
        r"query_?text|query|search_?(query|term|text|phrase)s?|keywords?|q|search",
        r"text|terms?|phrase",
    ),
    "query_image": (
        r"(query|search)_?(image|img|picture|photo|pic)(_?(path|url|uri|file|bytes))?",
    ),
    "bought": (
        r"(bought|purchased|ordered)(_?(item|product|sku|asin))?(_?ids?)?",
        r"(item|product)_?(bought|purchased)",
    ),
    "clicked": (
        r"(clicked|viewed|negative|not_bought)s?(_?(item|product|sku|asin)s?)?(_?ids?)?",
    ),
}

# An item's or user's own id, where the file tells whose it is.
OWN_ID = r"id|key|code|index|_id"

TABLES: dict[str, str] = {
    "items": r"item|product|movie|article|catalog|goods|sku|meta|book|ads?$|listing",
    "users": r"user|customer|member|shopper|visitor|people|profile",
    "searches": r"search|quer(y|ies)|keyword",
    "impressions": r"impression|(^|_)logs?($|_)|train|click|rating|ctr|expos|sample|"
    r"display|feed",
    "events": r"event|behavi|action|history|view|order|purchase|interact|cart|activity",
}

# Columns that a model can use as they are.
FEATURES: dict[str, str] = {
    "items": r"(main_|sub_|item_|product_)?categor(y|ies)([_0-9].*)?|cat_?(id|\d)?|"
    r"(main_)?genre|brand(_id)?|department|(list_)?price|colou?r|size|material|"
    r"gender|seller(_id)?|shop(_id)?|year",
    "users": r"age([_a-z0-9]*)|gender|sex|region|country|city|occupation|segment|"
    r"(membership|loyalty)(_[a-z]+)?|language",
    "context": r"hour|week_?day|day_of_week|dow|device([_a-z]*)|platform|os|browser|"
    r"channel|page(_type)?|country|city|region|network|scene|app",
    "features": r"(list_|item_)?price|discount([_a-z]*)|campaign(_id)?|promotion",
}

# Known only after the impression: a model that sees them sees the label.
OUTCOMES = (
    r"rating|stars|score_given|dwell[_a-z]*|watch[_a-z]*|play[_a-z]*|duration|"
    r"revenue|spend|gmv|quantity|amount|.*_after"
)


def plain(name: str) -> str:
    """A column's name in lower case, words joined by underscores.

    Example:
        >>> plain("userId"), plain("Event Time"), plain("ProductID")
        ('user_id', 'event_time', 'product_id')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_") or name


def rank(name: str, role: str) -> int | None:
    """How well a name fits a role: 0 is best, `None` is not at all.

    Example:
        >>> rank("userId", "user"), rank("customer", "user"), rank("price", "user")
        (0, 2, None)
    """
    spelled = plain(name)
    for place, pattern in enumerate(ROLES[role]):
        if re.fullmatch(pattern, spelled):
            return place
    return None


def fits(name: str, pattern: str) -> bool:
    """Whether the whole name fits a pattern."""
    return re.fullmatch(pattern, plain(name)) is not None


def tables_of(file_name: str) -> tuple[str, ...]:
    """The tables that a file's name speaks of.

    Example:
        >>> tables_of("product_catalog"), tables_of("data")
        (('items',), ())
    """
    spelled = plain(file_name)
    return tuple(
        table for table, pattern in TABLES.items() if re.search(pattern, spelled)
    )
