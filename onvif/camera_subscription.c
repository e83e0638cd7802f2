/* A PullPoint subscription: look up, subscribe, ask again and again, renew, and say farewell. */
#include "onvif/camera_subscription.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "onvif/camera_answer.h"
#include "onvif/camera_caller.h"
#include "onvif/camera_device.h"
#include "onvif/event_message.h"
#include "onvif/soap_writer.h"
#include "onvif/xsd_time.h"
#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "server/media/event.h"

#define SECOND_US INT64_C(1000000)
#define LASTS_US \
	(60 * SECOND_US) /* what is asked for; some forget earlier whatever they said (Q123) */
#define PULL_US \
	(10 * SECOND_US) /* how long a camera may keep silent; without an answer for two of these it has forgotten us (Q127) */
#define FAREWELL_US (2 * SECOND_US)
#define SPACING_US (1 * SECOND_US) /* between two questions of which the first got nothing (Q124) */
#define MESSAGES_MOST 100          /* in an answer */
#define PULL_POINT SOAP_EVENTS_SPACE "/PullPointSubscription/"
#define MANAGER "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/"

/* How cameras want to be asked for more time, in the order in which it is tried (Q125); behind the last they do not do it at all. */
static const struct renewal {
	bool instant;   /* until when, and not how long */
	bool addressed; /* with headers of WS-Addressing */
} renewals[] = {
	{false,  true },
	{ true,  true },
	{ false, false},
	{ true,  false},
};

struct camera_subscription {
	const char *camera;
	const struct camera_subscription_events *events;
	void *arg;
	struct camera_caller *caller;
	struct camera_device *device;
	char path[CAMERA_PATH_BYTES]; /* of the event service */
	struct event *timer;          /* to the next question */

	struct soap_message subscribed_answer; /* what `subscribed` points into */
	struct camera_subscribed subscribed;
	bool is_subscribed;
	bool heard;     /* since it was subscribed, an answer came */
	bool hears, up; /* hears: it is in `all` */
	size_t renewal;
	int64_t asked_us;          /* monotonic: the last PullMessages */
	int64_t renew_us, ends_us; /* monotonic: when to renew it, and when it is over */
	bool got;                  /* the last answer had events */
	LIST_ENTRY(camera_subscription) entry;
	struct reactor_dead dead;
};

/* Those that hear. */
static LIST_HEAD(, camera_subscription) all = LIST_HEAD_INITIALIZER(all);

static void subscription_subscribe(struct camera_subscription *subscription);
static void subscription_next(struct camera_subscription *subscription);

bool camera_subscription_hears(const char *camera)
{
	struct camera_subscription *subscription;

	LIST_FOREACH (subscription, &all, entry) {
		if (!strcmp(subscription->camera, camera))
			return true;
	}
	return false;
}

static void subscription_set_hears(struct camera_subscription *subscription, bool hears)
{
	if (hears && !subscription->hears)
		LIST_INSERT_HEAD(&all, subscription, entry);
	else if (!hears && subscription->hears)
		LIST_REMOVE(subscription, entry);
	subscription->hears = hears;
}

static void subscription_end(
	struct camera_subscription *subscription, enum source_end end, const char *detail)
{
	subscription_set_hears(subscription, false);
	subscription->events->on_end(subscription->arg, end, detail);
}

/* --- questions --- */

/* To the subscription: with the headers of WS-Addressing, and those that the camera gave (Axis). */
static void subscription_address(const struct camera_subscription *subscription,
	struct soap_writer *writer, const char *action)
{
	const xmlNode *parameters = subscription->subscribed.parameters;
	xmlNode *header = soap_writer_header(writer);

	soap_add_text(header, SOAP_WSA_SPACE, "Action", action);
	soap_add_text(header, SOAP_WSA_SPACE, "To", subscription->subscribed.address);
	for (xmlNode *node = parameters ? parameters->children : NULL; node; node = node->next) {
		xmlNode *copy = node->type == XML_ELEMENT_NODE
					? xmlDocCopyNode(node, writer->document, 1)
					: NULL;

		if (copy)
			soap_set_of(xmlAddChild(header, copy), SOAP_WSA_SPACE,
				"IsReferenceParameter", "true");
	}
}

static void subscription_ask(struct camera_subscription *subscription, const char *action,
	int64_t patience_us, struct soap_writer *writer, camera_reply_fn *done)
{
	struct camera_question question = { subscription->subscribed.path, action, false,
		patience_us };

	camera_caller_ask(subscription->caller, &question, writer, done, subscription);
}

/* What goes wrong with one that worked is tried anew from its begin; what never worked is given up. */
static void subscription_on_trouble(
	struct camera_subscription *subscription, const struct camera_reply *reply)
{
	if (!subscription->heard || (!camera_reply_is_no(reply) && reply->end != SOURCE_TIMEOUT &&
					    reply->end != SOURCE_CLOSED)) {
		subscription_end(subscription, reply->end, reply->detail);
		return;
	}
	subscription->events->on_again(subscription->arg, reply->end, reply->detail);
	subscription_subscribe(subscription);
}

/* --- more time --- */

static void subscription_set_end(
	struct camera_subscription *subscription, const struct soap_message *answer)
{
	int64_t lasts_us =
		camera_answer_lasts_us(answer, camera_caller_now_us(subscription->caller));
	int64_t now_us = reactor_monotonic_us();

	if (lasts_us == 0 || lasts_us > LASTS_US)
		lasts_us = LASTS_US;
	subscription->renew_us = now_us + lasts_us / 2;
	subscription->ends_us = now_us + lasts_us;
}

static void subscription_on_renewed(void *arg, const struct camera_reply *reply)
{
	struct camera_subscription *subscription = arg;

	if (reply->end == SOURCE_STOPPED) {
		subscription_set_end(subscription, reply->answer);
	} else if (camera_reply_is_no(reply)) {
		subscription->renewal++;
	} else {
		subscription_on_trouble(subscription, reply);
		return;
	}
	subscription_next(subscription);
}

static void subscription_renew(struct camera_subscription *subscription)
{
	const struct renewal *renewal = &renewals[subscription->renewal];
	struct soap_writer writer;
	xmlNode *request;

	soap_writer_init(&writer);
	if (renewal->addressed)
		subscription_address(subscription, &writer, MANAGER "RenewRequest");
	request = soap_add(writer.body, SOAP_WSNT_SPACE, "Renew");
	if (renewal->instant)
		soap_add_time(request, SOAP_WSNT_SPACE, "TerminationTime",
			camera_caller_now_us(subscription->caller) + LASTS_US);
	else
		soap_add_duration(request, SOAP_WSNT_SPACE, "TerminationTime", LASTS_US);
	subscription_ask(subscription, MANAGER "RenewRequest", CAMERA_PATIENCE_US, &writer,
		subscription_on_renewed);
}

/* --- what happens --- */

static void subscription_tell(void *arg, const struct event_message *message)
{
	struct camera_subscription *subscription = arg;

	subscription->got = true;
	event_publish(&(struct event_notice){
		.kind = message->kind,
		.phase = message->phase,
		.camera = subscription->camera,
		.source = message->source,
		.at_us = reactor_now_us(), /* cameras' own clocks are not to be trusted */
	});
}

static void subscription_on_pulled(void *arg, const struct camera_reply *reply)
{
	struct camera_subscription *subscription = arg;

	if (reply->end != SOURCE_STOPPED) {
		subscription_on_trouble(subscription, reply);
		return;
	}
	subscription->heard = true;
	subscription->got = false;
	event_messages_find(reply->answer->document, subscription_tell, subscription);
	subscription_next(subscription);
}

static bool subscription_renews(const struct camera_subscription *subscription)
{
	return subscription->renewal < ARRAY_LENGTH(renewals);
}

/* Not beyond the moment at which it has to be renewed, or made anew. */
static void subscription_pull(struct camera_subscription *subscription)
{
	int64_t until_us = subscription_renews(subscription) ? subscription->renew_us
							     : subscription->ends_us - SECOND_US;
	int64_t left_us = until_us - reactor_monotonic_us();
	int64_t timeout_us = left_us < PULL_US ? left_us / SECOND_US * SECOND_US : PULL_US;
	struct soap_writer writer;
	xmlNode *request;

	if (timeout_us < SECOND_US)
		timeout_us = SECOND_US;
	subscription->asked_us = reactor_monotonic_us();
	soap_writer_init(&writer);
	subscription_address(subscription, &writer, PULL_POINT "PullMessagesRequest");
	request = soap_add(writer.body, SOAP_EVENTS_SPACE, "PullMessages");
	soap_add_duration(request, SOAP_EVENTS_SPACE, "Timeout", timeout_us);
	soap_add_integer(request, SOAP_EVENTS_SPACE, "MessageLimit", MESSAGES_MOST);
	subscription_ask(subscription, PULL_POINT "PullMessagesRequest", 2 * timeout_us, &writer,
		subscription_on_pulled);
}

/* The next question: for more time, or for what happens. One that cannot be renewed is made anew before it ends. */
static void subscription_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera_subscription *subscription = arg;
	int64_t now_us = reactor_monotonic_us();
	bool renews = subscription_renews(subscription);

	(void)fd, (void)what;
	if (now_us >= subscription->ends_us - (renews ? 0 : SECOND_US))
		subscription_subscribe(subscription);
	else if (now_us >= subscription->renew_us && renews)
		subscription_renew(subscription);
	else
		subscription_pull(subscription);
}

static void subscription_next(struct camera_subscription *subscription)
{
	int64_t ago_us = reactor_monotonic_us() - subscription->asked_us;
	int64_t spacing_us = subscription->got ? SPACING_US / 5 : SPACING_US;

	reactor_timer_start(subscription->timer, ago_us < spacing_us ? spacing_us - ago_us : 0);
}

/* --- the begin --- */

/* A camera that does not know this word tells of what lasts when it ends. */
static void subscription_on_synchronized(void *arg, const struct camera_reply *reply)
{
	struct camera_subscription *subscription = arg;

	if (reply->end != SOURCE_STOPPED && !camera_reply_is_no(reply))
		subscription_on_trouble(subscription, reply);
	else
		subscription_next(subscription);
}

static void subscription_on_subscribed(void *arg, const struct camera_reply *reply)
{
	struct camera_subscription *subscription = arg;
	struct camera_subscribed subscribed;
	struct soap_writer writer;
	const char *why;

	if (reply->end != SOURCE_STOPPED) {
		subscription_end(subscription, reply->end, reply->detail);
		return;
	}
	if (camera_answer_subscribed(&subscribed, reply->answer, &why) < 0) {
		subscription_end(subscription, SOURCE_PROTOCOL, why);
		return;
	}
	soap_message_fini(&subscription->subscribed_answer);
	subscription->subscribed_answer = *reply->answer;
	subscription_set_end(subscription, reply->answer);
	*reply->answer = (struct soap_message){ 0 };
	if (!strstr(subscribed.address, "://")) /* a path alone */
		camera_caller_write_address(subscription->caller, subscribed.path,
			subscribed.address, sizeof(subscribed.address));
	subscription->subscribed = subscribed;
	subscription->is_subscribed = true;
	subscription_set_hears(subscription, true);
	if (!subscription->up) {
		subscription->up = true;
		subscription->events->on_up(subscription->arg);
	}
	soap_writer_init(&writer);
	subscription_address(subscription, &writer, PULL_POINT "SetSynchronizationPointRequest");
	soap_add(writer.body, SOAP_EVENTS_SPACE, "SetSynchronizationPoint");
	subscription_ask(subscription, PULL_POINT "SetSynchronizationPointRequest",
		CAMERA_PATIENCE_US, &writer, subscription_on_synchronized);
}

static void subscription_subscribe(struct camera_subscription *subscription)
{
	static const char action[] =
		SOAP_EVENTS_SPACE "/EventPortType/CreatePullPointSubscriptionRequest";
	struct camera_question question = { subscription->path, action, false, CAMERA_PATIENCE_US };
	struct soap_writer writer;

	subscription->heard = subscription->is_subscribed = subscription->got = false;
	soap_writer_init(&writer);
	soap_add_text(soap_writer_header(&writer), SOAP_WSA_SPACE, "Action", action);
	soap_add_duration(soap_add(writer.body, SOAP_EVENTS_SPACE, "CreatePullPointSubscription"),
		SOAP_EVENTS_SPACE, "InitialTerminationTime", LASTS_US);
	camera_caller_ask(
		subscription->caller, &question, &writer, subscription_on_subscribed, subscription);
}

static void subscription_on_device(
	void *arg, enum source_end end, const char *detail, const struct camera_found *found)
{
	struct camera_subscription *subscription = arg;

	if (end != SOURCE_STOPPED) {
		subscription_end(subscription, end, detail);
		return;
	}
	memcpy(subscription->path, found->events, sizeof(subscription->path));
	subscription_subscribe(subscription);
}

/* --- life --- */

struct camera_subscription *camera_subscription_new(const char *camera, const char *url,
	const struct config_camera *config, const struct log_name *log,
	const struct camera_subscription_events *events, void *arg, const char **why)
{
	struct camera_subscription *subscription = xcalloc(1, sizeof(*subscription));

	subscription->camera = camera;
	subscription->events = events;
	subscription->arg = arg;
	subscription->caller = camera_caller_new(url, config, log, why);
	if (!subscription->caller) {
		free(subscription);
		return NULL;
	}
	subscription->timer = reactor_timer_new(subscription_on_timer, subscription);
	subscription->device = camera_device_new(
		subscription->caller, CAMERA_EVENTS, subscription_on_device, subscription);
	return subscription;
}

static void subscription_fini(void *object)
{
	struct camera_subscription *subscription = object;

	soap_message_fini(&subscription->subscribed_answer);
	reactor_timer_free(&subscription->timer);
	free(subscription);
}

void camera_subscription_free(struct camera_subscription *subscription)
{
	if (!subscription)
		return;
	subscription_set_hears(subscription, false);
	reactor_timer_stop(subscription->timer);
	camera_caller_free(subscription->caller);
	camera_device_free(subscription->device);
	reactor_free_later(&subscription->dead, subscription_fini, subscription);
}

static void subscription_on_farewell(void *arg, const struct camera_reply *reply)
{
	struct camera_subscription *subscription = arg;

	(void)reply; /* whatever it says */
	subscription->events->on_stopped(subscription->arg);
}

static void subscription_on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct camera_subscription *subscription = arg;

	(void)fd, (void)what;
	subscription->events->on_stopped(subscription->arg);
}

void camera_subscription_stop(struct camera_subscription *subscription)
{
	struct soap_writer writer;

	subscription_set_hears(subscription, false);
	reactor_timer_free(&subscription->timer);
	subscription->timer = reactor_timer_new(subscription_on_stop_timer, subscription);
	reactor_timer_start(subscription->timer, subscription->is_subscribed ? FAREWELL_US : 0);
	if (!subscription->is_subscribed) {
		camera_caller_free(subscription->caller);
		subscription->caller = NULL;
		return;
	}
	soap_writer_init(&writer);
	subscription_address(subscription, &writer, MANAGER "UnsubscribeRequest");
	soap_add(writer.body, SOAP_WSNT_SPACE, "Unsubscribe");
	subscription_ask(subscription, MANAGER "UnsubscribeRequest", FAREWELL_US, &writer,
		subscription_on_farewell);
}
