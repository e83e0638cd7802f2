#include "onvif/event_writer.h"

#include "onvif/xsd_time.h"

#define TT SOAP_SCHEMA_SPACE
#define CONCRETE_SET "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"

static void write_items(xmlNode *parent, const char *name, const struct event_item *items)
{
	xmlNode *node = soap_add(parent, TT, name), *item;

	for (size_t i = 0; i < EVENT_WRITER_ITEMS && items[i].name; i++) {
		item = soap_add(node, TT, "SimpleItem");
		soap_set(item, "Name", items[i].name);
		soap_set(item, "Value", items[i].value);
	}
}

void event_write(xmlNode *holder, const struct event_text *event)
{
	static const char *const operations[] = {
		[EVENT_OPERATION_INITIALIZED] = "Initialized",
		[EVENT_OPERATION_CHANGED] = "Changed",
		[EVENT_OPERATION_DELETED] = "Deleted",
	};
	char time[XSD_TIME_BYTES];
	xmlNode *node;

	node = soap_add_format(holder, SOAP_WSNT_SPACE, "Topic", "%s:%s",
		soap_declare(holder, SOAP_TOPICS_SPACE), event->topic);
	soap_set(node, "Dialect", CONCRETE_SET);
	node = soap_add(soap_add(holder, SOAP_WSNT_SPACE, "Message"), TT, "Message");
	soap_set(node, "UtcTime", xsd_time_write(time, event->utc_us));
	if (event->operation != EVENT_OPERATION_NONE)
		soap_set(node, "PropertyOperation", operations[event->operation]);
	write_items(node, "Source", event->source);
	write_items(node, "Data", event->data);
}
