#pragma once

#include <stddef.h>

#include <libxml/tree.h>

#include "server/base/attributes.h"
#include "server/media/event.h"

/*
 * Events as ONVIF cameras send them: wsnt:NotificationMessage elements (OASIS WS-BaseNotification; their content: ONVIF
 * Core Specification, "Notification Content") in a tt:MetadataStream of RTP, or in the answer to PullMessages. Pure.
 */
struct event_message {
	enum event_kind kind;
	enum event_phase phase;
	/* The topic and the items of the message's Source, to tell events of a kind apart; cut where they are too long. */
	char source[160];
};
typedef void event_message_fn(void *arg, const struct event_message *message);

/*
 * Tells the events in an XML document, in their order; messages of other topics, and those that are not as they should be,
 * are passed over. Names count by namespace, whatever their prefixes are; topics without theirs. Returns 0, or -EBADMSG: it is not
 * XML, or has a document type.
 */
int event_messages_parse(const char *p, size_t n, event_message_fn *tell, void *arg) MUST_CHECK;
/* The same of a document that was read already. */
void event_messages_find(const xmlDoc *document, event_message_fn *tell, void *arg);
