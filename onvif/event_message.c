#include "onvif/event_message.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "server/base/memory.h"

#define NOTIFICATION "http://docs.oasis-open.org/wsn/b-2"
#define SCHEMA "http://www.onvif.org/ver10/schema"

enum {
	DOCUMENT_BYTES = 256 << 10,
	TOPIC_BYTES = 128
};

/* Topics, and what they mean. ONVIF's own come first (Analytics and Imaging Specification), then makers'. */
static const struct topic {
	const char *path;
	enum event_kind kind;
} topics[] = {
	{"RuleEngine/CellMotionDetector/Motion",            EVENT_MOTION },
	{ "RuleEngine/MotionRegionDetector/Motion",         EVENT_MOTION },
	{ "RuleEngine/FieldDetector/ObjectsInside",         EVENT_MOTION },
	{ "VideoSource/MotionAlarm",                        EVENT_MOTION },
	{ "RuleEngine/LineDetector/Crossed",                EVENT_LINE   },
	{ "RuleEngine/TamperDetector/Tamper",               EVENT_TAMPER },
	{ "VideoSource/GlobalSceneChange/ImagingService",   EVENT_TAMPER },
	{ "VideoSource/GlobalSceneChange/AnalyticsService", EVENT_TAMPER },
	{ "VideoSource/ImageTooDark/ImagingService",        EVENT_TAMPER },
	{ "VideoSource/ImageTooDark/AnalyticsService",      EVENT_TAMPER },
	{ "VideoSource/ImageTooBlurry/ImagingService",      EVENT_TAMPER },
	{ "VideoSource/ImageTooBlurry/AnalyticsService",    EVENT_TAMPER },
	{ "Device/Trigger/DigitalInput",                    EVENT_INPUT  },
	{ "RuleEngine/MyRuleDetector/PeopleDetect",         EVENT_PERSON }, /* Reolink */
	{ "RuleEngine/MyRuleDetector/FaceDetect",           EVENT_PERSON },
	{ "RuleEngine/MyRuleDetector/VehicleDetect",        EVENT_VEHICLE},
	{ "RuleEngine/MyRuleDetector/Visitor",              EVENT_INPUT  }, /* the bell */
	{ "RuleEngine/PeopleDetector/People",               EVENT_PERSON }, /* TP-Link */
	{ "RuleEngine/LineCrossDetector/LineCross",         EVENT_LINE   },
};

/* --- XML --- */

static bool is_element(const xmlNode *node, const char *space, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name) &&
	       node->ns && node->ns->href && !strcmp((const char *)node->ns->href, space);
}

static const xmlNode *find_child(const xmlNode *parent, const char *space, const char *name)
{
	for (const xmlNode *node = parent->children; node; node = node->next) {
		if (is_element(node, space, name))
			return node;
	}
	return NULL;
}

/* The next element in the order of the document; not into the last one when `over`. */
static const xmlNode *next_node(const xmlNode *node, bool over)
{
	if (node->children && !over && node->type == XML_ELEMENT_NODE)
		return node->children;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

static bool copy_attribute(const xmlNode *node, const char *name, char *ret, size_t size)
{
	xmlChar *value = xmlGetNoNsProp(node, (const xmlChar *)name);
	bool found = value != NULL;

	snprintf(ret, size, "%s", value ? (const char *)value : "");
	xmlFree(value);
	return found;
}

/* --- a message --- */

/* A topic without white space, and without the prefixes of its parts. Returns false when it is too long. */
static bool topic_plain(const xmlNode *node, char *ret, size_t size)
{
	xmlChar *text = xmlNodeGetContent(node);
	size_t n = 0, part = 0;

	for (const char *p = (const char *)text; p && *p && n < size; p++) {
		if (*p == ':')
			n = part;
		else if (!strchr(" \t\r\n", *p))
			ret[n++] = *p;
		if (*p == '/')
			part = n;
	}
	xmlFree(text);
	if (n == size)
		return false;
	ret[n] = '\0';
	return true;
}

static const struct topic *topic_find(const xmlNode *node)
{
	char path[TOPIC_BYTES];

	if (!node || !topic_plain(node, path, sizeof(path)))
		return NULL;
	for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
		if (!strcmp(topics[i].path, path))
			return &topics[i];
	}
	return NULL;
}

/* The first item of truth says whether it begins or ends; where there is none it has no length. */
static enum event_phase data_phase(const xmlNode *data)
{
	char value[8];

	for (const xmlNode *item = data ? data->children : NULL; item; item = item->next) {
		if (!is_element(item, SCHEMA, "SimpleItem"))
			continue;
		(void)copy_attribute(item, "Value", value, sizeof(value));
		if (!strcasecmp(value, "true") || !strcmp(value, "1"))
			return EVENT_BEGINS;
		if (!strcasecmp(value, "false") || !strcmp(value, "0"))
			return EVENT_ENDS;
	}
	return EVENT_MOMENT;
}

static enum event_phase message_phase(const xmlNode *message)
{
	char operation[16];

	(void)copy_attribute(message, "PropertyOperation", operation, sizeof(operation));
	return strcmp(operation, "Deleted") == 0 ? EVENT_ENDS
						 : data_phase(find_child(message, SCHEMA, "Data"));
}

static void message_write_source(const xmlNode *message, const char *path, char *ret, size_t size)
{
	const xmlNode *source = find_child(message, SCHEMA, "Source");
	size_t n = (size_t)snprintf(ret, size, "%s", path);
	char value[64];

	for (const xmlNode *item = source ? source->children : NULL; item && n < size;
		item = item->next) {
		if (!is_element(item, SCHEMA, "SimpleItem"))
			continue;
		(void)copy_attribute(item, "Value", value, sizeof(value));
		n += (size_t)snprintf(ret + n, size - n, " %s", value);
	}
}

/* What a wsnt:NotificationMessage says. Returns false when that is nothing to us. */
static bool message_read(const xmlNode *notification, struct event_message *ret)
{
	const struct topic *topic = topic_find(find_child(notification, NOTIFICATION, "Topic"));
	const xmlNode *message = find_child(notification, NOTIFICATION, "Message");

	message = message ? find_child(message, SCHEMA, "Message") : NULL;
	if (!topic || !message)
		return false;
	ret->kind = topic->kind;
	ret->phase = message_phase(message);
	message_write_source(message, topic->path, ret->source, sizeof(ret->source));
	return true;
}

void event_messages_find(const xmlDoc *document, event_message_fn *tell, void *arg)
{
	const xmlNode *node = xmlDocGetRootElement(document);
	struct event_message message;

	while (node) {
		bool found = is_element(node, NOTIFICATION, "NotificationMessage");

		if (found && message_read(node, &message))
			tell(arg, &message);
		node = next_node(node, found);
	}
}

int event_messages_parse(const char *p, size_t n, event_message_fn *tell, void *arg)
{
	const int options =
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT;
	xmlDoc *document;

	if (n > DOCUMENT_BYTES || memmem(p, n, "<!DOCTYPE", strlen("<!DOCTYPE")))
		return -EBADMSG;
	document = xmlReadMemory(p, (int)n, NULL, NULL, options);
	if (!document || document->intSubset) {
		xmlFreeDoc(document);
		return -EBADMSG;
	}
	event_messages_find(document, tell, arg);
	xmlFreeDoc(document);
	return 0;
}
