#include "onvif/event_filter.h"

#define WSNT SOAP_WSNT_SPACE

/* Each element of a filter is one more that has to be met; one of a kind is enough for expressions that have "or". */
bool event_filter_read(struct event_filter *ret, const xmlNode *filter)
{
	const xmlNode *topics = soap_child(filter, WSNT, "TopicExpression");
	const xmlNode *content = soap_child(filter, WSNT, "MessageContent");

	*ret = (struct event_filter){ "", "" };
	if (soap_child(filter, WSNT, "ProducerProperties") || soap_next(topics) ||
		soap_next(content))
		return false;
	if (topics && (!soap_text(topics, ret->topics, sizeof(ret->topics)) ||
			      !topic_filter_is_valid(ret->topics)))
		return false;
	return !content || (soap_text(content, ret->content, sizeof(ret->content)) &&
				   item_filter_is_valid(ret->content));
}

bool event_filter_has(const struct event_filter *filter, const struct event_text *message)
{
	return topic_filter_has(filter->topics, message->topic) &&
	       (!filter->content[0] || item_filter_has(filter->content, message));
}
