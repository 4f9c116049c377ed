"""What lists and histories read: the mission's columns over tables that store them better.

Queries filter and order by columns that come straight from an index, so that a page costs the same in a history of ten
messages and of a million: `user_id, updated_at, id` of a list, `conversation_id, seq` of a history.
"""

CONVERSATION_LIST = """
CREATE VIEW {schema}.conversation_list AS
SELECT
    i.user_id,
    i.conversation_id AS id,
    CASE WHEN i.user_id = c.lower_user_id THEN c.higher_user_id ELSE c.lower_user_id END AS other_user_id,
    u.name AS other_user_name,
    u.photo AS other_user_photo,
    c.last_message,
    c.last_message_sender,
    CASE WHEN i.user_id = c.lower_user_id
        THEN c.higher_sent - c.lower_read_count
        ELSE c.lower_sent - c.higher_read_count
    END AS unread_count,
    i.updated_at,
    c.opened_at AS created_at,
    c.last_seq,
    c.partition
FROM {schema}.inbox AS i
JOIN {schema}.conversations AS c ON c.id = i.conversation_id
LEFT JOIN {schema}.users AS u
    ON u.id = CASE WHEN i.user_id = c.lower_user_id THEN c.higher_user_id ELSE c.lower_user_id END
"""
MESSAGE_LIST = """
CREATE VIEW {schema}.message_list AS
SELECT
    m.id,
    m.conversation_id,
    m.sender_id,
    m.content,
    m.content_type,
    m.created_at,
    r.read_at,
    m.seq,
    m.sender_count,
    m.client_id,
    m.record_offset,
    c.partition
FROM {schema}.messages AS m
JOIN {schema}.conversations AS c ON c.id = m.conversation_id
LEFT JOIN LATERAL (
    SELECT reads.read_at
    FROM {schema}.reads
    WHERE reads.conversation_id = m.conversation_id
        AND reads.reader_id = c.lower_user_id + c.higher_user_id - m.sender_id
        AND reads.up_to_seq >= m.seq
    ORDER BY reads.up_to_seq
    LIMIT 1
) AS r ON true
"""
VIEWS = (CONVERSATION_LIST, MESSAGE_LIST)
