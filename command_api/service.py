"""The write side put together on one edge: what the routes and the sockets call."""

from command_api.blocks import Blocks
from command_api.conversations import Conversations
from command_api.ids import Ids
from command_api.limits import Limits
from command_api.loads import Loads
from command_api.messages import Messages
from command_api.openings import Openings
from command_api.reads import Reads
from command_api.reports import Reports
from command_api.tokens import Tokens
from command_api.users import Users
from infra.edge import Edge
from infra.tail import Stage
from schemas.events import CONVERSATION_EVENTS, MessageSent, ReportFiled


class WriteSide:
    """All commands of one edge, and the state that they check against."""

    def __init__(self, edge: Edge) -> None:
        loads = Loads(edge.tables)
        self.edge = edge
        self.tokens = Tokens(edge.settings)
        self.ids = Ids(edge.appender, edge.name)
        self.limits = Limits(
            edge.clock,
            messages_per_minute=edge.settings.messages_per_minute,
            reports_per_day=edge.settings.reports_per_day,
        )
        self.conversations = Conversations(edge, loads)
        self.messages = Messages(edge, self.conversations, loads, self.ids, self.limits)
        self.reads = Reads(edge, self.conversations, loads)
        self.blocks = Blocks(edge, self.conversations)
        self.reports = Reports(edge, self.conversations, loads, self.ids, self.limits)
        self.openings = Openings(edge, self.conversations, self.ids)
        self.users = Users(edge.appender)
        edge.tail.follow(Stage.APPLY, self.conversations.fold, *CONVERSATION_EVENTS)
        edge.tail.follow(Stage.FOLD, self.limits.fold, MessageSent, ReportFiled)
