#include "onvif/pass_on.h"

static void pass_on_reply(void *arg, const struct camera_reply *reply)
{
	struct onvif_call *call = arg;

	call->later = NULL;
	if (reply->fault)
		(void)onvif_call_fault(call, reply->fault);
	else if (reply->end != SOURCE_STOPPED || (call->take && !call->take(call, reply->answer)))
		(void)onvif_call_refuse(call, ONVIF_FAULT_NO_ANSWER);
	onvif_call_finish(call);
}

static void pass_on_gone(void *later)
{
	if (later)
		camera_command_forget(later);
}

bool pass_on(struct onvif_call *call, struct camera_control *control,
	const struct camera_order *order, struct soap_writer *writer,
	bool (*take)(struct onvif_call *call, const struct soap_message *answer))
{
	call->take = take;
	call->later = camera_control_ask(control, order, writer, pass_on_reply, call);
	if (!call->later)
		return onvif_call_refuse(call, ONVIF_FAULT_TOO_MANY);
	call->on_gone = pass_on_gone;
	return false;
}
