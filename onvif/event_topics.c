#include "onvif/event_topics.h"

#include <stdio.h>
#include <string.h>

#define TT SOAP_SCHEMA_SPACE
#define WSTOP "http://docs.oasis-open.org/wsn/t-1"
#define XS "http://www.w3.org/2001/XMLSchema"

enum {
	PATH_BYTES = 128
};

/* What stands in an item of a message's Source. */
enum value {
	VALUE_CAMERA, /* the token of a source, a configuration or a job */
	VALUE_RULE,
	VALUE_STORE,
};

static const struct topic_row {
	const char *path;
	bool is_property;
	struct {
		const char *name;
		enum value value;
	} source[EVENT_WRITER_ITEMS];
	const char *data, *type; /* of the one item; the type's prefix is "xs" */
	const char *on, *off;
} rows[] = {
	[TOPIC_CELL_MOTION] = {"RuleEngine/CellMotionDetector/Motion",          true,
			       { { "VideoSourceConfigurationToken", VALUE_CAMERA },
			{ "VideoAnalyticsConfigurationToken", VALUE_CAMERA },
			{ "Rule", VALUE_RULE } },
			       "IsMotion",											   "boolean", "true",   "false"},
	[TOPIC_MOTION_ALARM] = { "VideoSource/MotionAlarm",                      true,  { { "Source", VALUE_CAMERA } },
			       "State",											      "boolean", "true",   "false"},
	[TOPIC_SIGNAL_LOSS] = { "VideoSource/SignalLoss",                       true,  { { "Source", VALUE_CAMERA } },
			       "State",											      "boolean", "true",   "false"},
	[TOPIC_JOB_STATE] = { "RecordingConfig/JobState",                     true,
			       { { "RecordingJobToken", VALUE_CAMERA } },                                                  "State",  "string",  "Active", "Idle" },
	[TOPIC_STORAGE_FAILURE] = { "Device/HardwareFailure/StorageFailure",        true,
			       { { "Token", VALUE_STORE } },							       "Failed", "boolean", "true",   "false"},
	[TOPIC_TAMPER] = { "VideoSource/GlobalSceneChange/ImagingService", true,
			       { { "Source", VALUE_CAMERA } },							     "State",  "boolean", "true",   "false"},
	[TOPIC_LINE] = { "RuleEngine/LineDetector/Crossed",              false,
			       { { "VideoSourceConfigurationToken", VALUE_CAMERA },
			{ "VideoAnalyticsConfigurationToken", VALUE_CAMERA },
			{ "Rule", VALUE_RULE } },
			       "ObjectId",											   "integer", "0",      "0"    },
	[TOPIC_INPUT] = { "Device/Trigger/DigitalInput",                  true,  { { "InputToken", VALUE_CAMERA } },
			       "LogicalState",										       "boolean", "true",   "false"},
	[TOPIC_PERSON] = { "RuleEngine/MyRuleDetector/PeopleDetect",       true,
			       { { "Source", VALUE_CAMERA } },							     "State",  "boolean", "true",   "false"},
	[TOPIC_VEHICLE] = { "RuleEngine/MyRuleDetector/VehicleDetect",      true,
			       { { "Source", VALUE_CAMERA } },							     "State",  "boolean", "true",   "false"},
};

const char *event_topic_path(enum event_topic topic)
{
	return rows[topic].path;
}

bool event_topic_is_property(enum event_topic topic)
{
	return rows[topic].is_property;
}

enum event_topic event_topic_of(enum event_kind kind)
{
	static const enum event_topic topics[EVENT_KINDS] = {
		[EVENT_MOTION] = TOPIC_CELL_MOTION,
		[EVENT_TAMPER] = TOPIC_TAMPER,
		[EVENT_LINE] = TOPIC_LINE,
		[EVENT_INPUT] = TOPIC_INPUT,
		[EVENT_PERSON] = TOPIC_PERSON,
		[EVENT_VEHICLE] = TOPIC_VEHICLE,
		[EVENT_MANUAL] = TOPICS, /* it says nothing of a camera */
	};

	return kind < EVENT_KINDS ? topics[kind] : TOPICS;
}

static const char *value_of(enum value value, const struct event_told *told)
{
	switch (value) {
	case VALUE_CAMERA:
		return told->camera;
	case VALUE_RULE:
		return told->rule;
	case VALUE_STORE:
		return "store";
	}
	return "";
}

void event_topic_text(const struct event_told *told, struct event_text *ret)
{
	const struct topic_row *row = &rows[told->topic];

	*ret = (struct event_text){
		.topic = row->path,
		.utc_us = told->utc_us,
		.operation = told->operation,
		.data = { { row->data, told->value ? row->on : row->off } },
	};

	for (size_t i = 0; i < EVENT_WRITER_ITEMS && row->source[i].name; i++)
		ret->source[i] = (struct event_item){ row->source[i].name,
			value_of(row->source[i].value, told) };
}

/* --- the set of topics --- */

static void describe_item(xmlNode *parent, const char *name, const char *space, const char *type)
{
	xmlNode *item = soap_add(parent, TT, "SimpleItemDescription");

	soap_set(item, "Name", name);
	soap_set_format(item, "Type", "%s:%s", soap_declare(item, space), type);
}

static void describe(xmlNode *topic, const struct topic_row *row)
{
	xmlNode *message = soap_add(topic, TT, "MessageDescription"), *source;

	soap_set_bool(message, "IsProperty", row->is_property);
	source = soap_add(message, TT, "Source");
	for (size_t i = 0; i < EVENT_WRITER_ITEMS && row->source[i].name; i++) {
		bool is_token = row->source[i].value != VALUE_RULE;

		describe_item(source, row->source[i].name, is_token ? TT : XS,
			is_token ? "ReferenceToken" : "string");
	}
	describe_item(soap_add(message, TT, "Data"), row->data, XS, row->type);
}

/* The child of that name, which is made where there is none; only the first of a path has a namespace. */
static xmlNode *find_or_add(xmlNode *parent, const char *space, const char *name)
{
	for (xmlNode *child = parent->children; child; child = child->next) {
		if (!strcmp((const char *)child->name, name))
			return child;
	}
	return soap_add(parent, space, name);
}

void event_topic_write_set(xmlNode *parent)
{
	xmlNode *set = soap_add(parent, WSTOP, "TopicSet");

	for (size_t i = 0; i < TOPICS; i++) {
		char path[PATH_BYTES], *rest = path, *name;
		const char *space = SOAP_TOPICS_SPACE;
		xmlNode *node = set;

		snprintf(path, sizeof(path), "%s", rows[i].path);
		while ((name = strsep(&rest, "/"))) {
			node = find_or_add(node, space, name);
			space = "";
		}
		soap_set_of(node, WSTOP, "topic", "true");
		describe(node, &rows[i]);
	}
}
