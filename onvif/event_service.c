#include "onvif/event_service.h"

#include "onvif/event_topics.h"
#include "onvif/onvif_service.h"
#include "onvif/pull_point.h"
#include "server/base/reactor.h"

#define TEV SOAP_EVENTS_SPACE
#define WSNT SOAP_WSNT_SPACE
#define WAIT_MOST_US (INT64_C(60) * 1000000)

enum {
	MESSAGES_MOST = 128 /* in one answer */
};

void event_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TEV, "Capabilities");

	soap_set_bool(node, "WSSubscriptionPolicySupport", false);
	soap_set_bool(node, "WSPausableSubscriptionManagerInterfaceSupport", false);
	soap_set_integer(node, "MaxNotificationProducers", 0);
	soap_set_integer(node, "MaxPullPoints", PULL_POINTS_MOST);
	soap_set_bool(node, "PersistentNotificationStorage", false);
}

bool event_get_properties(struct onvif_call *call)
{
	soap_add_text(call->answer, TEV, "TopicNamespaceLocation",
		"http://www.onvif.org/onvif/ver10/topics/topicns.xml");
	soap_add_bool(call->answer, WSNT, "FixedTopicSet", true);
	event_topic_write_set(call->answer);
	soap_add_text(call->answer, WSNT, "TopicExpressionDialect",
		"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet");
	soap_add_text(call->answer, WSNT, "TopicExpressionDialect",
		"http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete");
	soap_add_text(call->answer, TEV, "MessageContentFilterDialect",
		"http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter");
	soap_add_text(call->answer, TEV, "MessageContentSchemaLocation",
		"http://www.onvif.org/onvif/ver10/schema/onvif.xsd");
	return true;
}

/* How long from now: said as a duration or as an instant. False: as neither. */
static bool read_life(const xmlNode *node, int64_t *life_us)
{
	int64_t at_us;

	if (soap_duration(node, life_us))
		return true;
	if (!soap_time(node, &at_us))
		return false;
	*life_us = at_us - reactor_now_us();
	return true;
}

bool event_create_pull_point(struct onvif_call *call)
{
	const xmlNode *life = soap_child(call->in.body, TEV, "InitialTerminationTime");
	int64_t life_us = PULL_POINT_LIFE_US;
	struct event_filter filter;
	struct pull_point *point;

	if (!event_filter_read(&filter, soap_child(call->in.body, TEV, "Filter")))
		return onvif_call_refuse(call, ONVIF_FAULT_BAD_FILTER);
	(void)read_life(life, &life_us);
	point = pull_point_new(call->user, &filter, life_us);
	if (!point)
		return onvif_call_refuse(call, ONVIF_FAULT_TOO_MANY);
	soap_add_format(soap_add(call->answer, TEV, "SubscriptionReference"), SOAP_WSA_SPACE,
		"Address", "%s%s%s", call->base, ONVIF_ROUTE, pull_point_path(point));
	soap_add_time(call->answer, WSNT, "CurrentTime", reactor_now_us());
	soap_add_time(call->answer, WSNT, "TerminationTime", pull_point_ends_us(point));
	return true;
}

bool event_pull_messages(struct onvif_call *call)
{
	struct pull_point *point = pull_point_find(call);
	int64_t wait_us = 0, most = MESSAGES_MOST;

	if (!point)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SUBSCRIPTION);
	(void)soap_duration(soap_child(call->in.body, TEV, "Timeout"), &wait_us);
	(void)soap_integer(soap_child(call->in.body, TEV, "MessageLimit"), &most);
	if (most < 1 || most > MESSAGES_MOST)
		most = MESSAGES_MOST;
	return pull_point_pull(
		point, call, wait_us < WAIT_MOST_US ? wait_us : WAIT_MOST_US, (size_t)most);
}

bool event_set_synchronization_point(struct onvif_call *call)
{
	struct pull_point *point = pull_point_find(call);

	if (!point)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SUBSCRIPTION);
	pull_point_synchronize(point);
	return true;
}

bool event_renew(struct onvif_call *call)
{
	struct pull_point *point = pull_point_find(call);
	int64_t life_us = PULL_POINT_LIFE_US;

	if (!point)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SUBSCRIPTION);
	(void)read_life(soap_child(call->in.body, WSNT, "TerminationTime"), &life_us);
	pull_point_renew(point, life_us);
	soap_add_time(call->answer, WSNT, "TerminationTime", pull_point_ends_us(point));
	soap_add_time(call->answer, WSNT, "CurrentTime", reactor_now_us());
	return true;
}

bool event_end_subscription(struct onvif_call *call)
{
	struct pull_point *point = pull_point_find(call);

	if (!point)
		return onvif_call_refuse(call, ONVIF_FAULT_NO_SUBSCRIPTION);
	pull_point_free(point);
	return true;
}
