"""How much of the model's context a conversation takes, and what is forgotten where it is full."""

from __future__ import annotations

from collections.abc import Callable

from .conversation import Conversation

FREE = 256  # tokens that are kept for an answer, or a quarter of a small context

Count = Callable[[Conversation], int]  # tokens of the prompt that puts a conversation to the model


def room(context: int) -> int:
    """The most tokens that a conversation may take, so that an answer still fits behind it."""
    return context - min(FREE, context // 4)


def forget_oldest(conversation: Conversation, count: Count, limit: int) -> Conversation | None:
    """Forget as few of the oldest turns as leaves at most `limit` tokens.

    Returns:
        None where the last question alone takes more.
    """
    low, high = conversation.forgotten, len(conversation.turns) - 1
    if count(conversation.forgetting(high)) > limit:
        return None
    while low < high:  # forgetting `high` turns is enough
        middle = (low + high) // 2
        if count(conversation.forgetting(middle)) <= limit:
            high = middle
        else:
            low = middle + 1
    return conversation.forgetting(high)


def make_room(conversation: Conversation, count: Count, context: int) -> Conversation | None:
    """Forget so much that half of the room is free, or all but the last question where that is more than half: or else
    the next question would find the context full again, and every prompt would have to be read from its beginning.

    Returns:
        None where the last question alone does not fit.
    """
    most = room(context)
    return forget_oldest(conversation, count, most // 2) or forget_oldest(conversation, count, most)
