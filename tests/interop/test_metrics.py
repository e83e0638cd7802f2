#!/usr/bin/env python3
"""/metrics: promtool is silent, and what an operator watches is there."""
import shutil
import subprocess

from daemon import Nvrd, finish, report, skip, wait_for

WANTED = ("nvrd_camera_up", "nvrd_camera_received_bytes_total", "nvrd_camera_frames_total", "nvrd_rtp_packets_lost_total",
          "nvrd_camera_connects_total", "nvrd_recorder_segments_total", "nvrd_recorder_fragments_total", "nvrd_sessions",
          "nvrd_worker_queue_bytes", "nvrd_worker_queue_jobs", "nvrd_reactor_lag_seconds_bucket", "nvrd_stream_cache_bytes",
          "nvrd_build_info", "process_resident_memory_bytes", "nvrd_volume_sync_seconds_bucket", "nvrd_volume_free_bytes",
          "nvrd_camera_recorded_bytes", "nvrd_camera_oldest_recording_timestamp_seconds", "nvrd_recorder_gap_seconds")


def main():
    nvrd = Nvrd({"porch": {"source": '"test:"'}, "away": {"source": '"rtsp://127.0.0.1:1/x"'}}, segment="2s")
    wait_for(lambda: nvrd.metric('nvrd_recorder_segments_total{camera="porch"}') >= 1, 20)
    wait_for(lambda: nvrd.metric('nvrd_camera_failures_total{camera="away",reason="refused"}') >= 1, 20)
    wait_for(lambda: nvrd.metric('nvrd_camera_recorded_bytes{camera="porch"}') > 0, 20)
    text = nvrd.get("/metrics").decode()
    for name in WANTED:
        report(f"\n{name}" in "\n" + text, f"{name} is there")
    report(nvrd.metric('nvrd_camera_up{camera="porch"}') == 1, "the demo camera is up")
    report(nvrd.metric('nvrd_camera_up{camera="away"}') == 0, "the camera that is away is down")
    report(nvrd.metric('nvrd_camera_failures_total{camera="away",reason="refused"}') >= 1, "with the reason")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        report(done.returncode == 0 and not done.stdout and not done.stderr, "promtool check metrics is silent", done.stdout + done.stderr)
    else:
        skip("promtool", "not installed")
    nvrd.stop()
    finish()


main()
