#!/usr/bin/env python3
"""Talks to the tests' provider server with the official libraries of OpenAI and Anthropic.

The Rust tests start the server (tests/it/fake_provider.rs) in several moods and call this with their
addresses; the libraries come from tests/interop/requirements-sdks.txt. If the libraries
understand the server's answers and errors, a client that works with the server works with the
providers.
"""

import argparse
import json
import sys
import warnings

import anthropic
import openai

SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
    "additionalProperties": False,
}
DATA = "<data>\nframe,left_knee_deg,right_knee_deg\n3,75.6,161.0\n4,80.1,149.6\n</data>"
MESSAGES = [{"role": "user", "content": DATA}]
FORMAT = {"type": "json_schema", "json_schema": {"name": "record_example", "strict": True, "schema": SCHEMA}}
TOOL = {"name": "record_example", "description": "Records an example.", "input_schema": SCHEMA}


def check(condition, what):
    if not condition:
        sys.exit(f"differs: {what}")


def error_of(expected, call, *arguments, **named):
    """The error of exactly this class that a call ends with."""
    try:
        call(*arguments, **named)
    except expected as error:
        check(type(error) is expected, f"{type(error)} is not {expected}")
        return error
    sys.exit(f"{expected.__name__} was expected")


class OpenAi:
    def __init__(self, key):
        self.key = key

    def client(self, url, key=None, timeout=20):
        return openai.OpenAI(base_url=f"{url}/v1", api_key=key or self.key, max_retries=0, timeout=timeout)

    def ask(self, client, **named):
        arguments = {"model": "gpt-6-luna", "messages": MESSAGES, "response_format": FORMAT, "max_completion_tokens": 500, "store": False}
        return client.chat.completions.create(**{**arguments, **named})

    def check_answers(self, urls):
        client = self.client(urls["good"])
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-6-luna", messages=MESSAGES, response_format=FORMAT, max_completion_tokens=500
        )
        completion = raw.parse()
        check(completion._request_id.startswith("req_"), "request id")
        check(int(raw.headers["x-ratelimit-limit-requests"]) > 0, "rate limit headers")
        check(completion.object == "chat.completion" and completion.model == "gpt-6-luna", "completion")
        choice = completion.choices[0]
        check(choice.finish_reason == "stop" and choice.message.refusal is None, "end of the answer")
        check(set(json.loads(choice.message.content)) == {"question", "answer"}, "structured answer")
        usage = completion.usage
        check(usage.prompt_tokens > 0 and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "usage")
        check(usage.completion_tokens_details.reasoning_tokens == 0, "details of usage")
        plain = client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES, max_tokens=50)
        check(plain.choices[0].message.content, "answer without format")
        check(self.ask(self.client(urls["truncating"])).choices[0].finish_reason == "length", "truncated answer")
        check(self.ask(self.client(urls["refusing"])).choices[0].message.refusal, "refusal")

    def check_errors(self, urls):
        good = self.client(urls["good"])
        error = error_of(openai.AuthenticationError, self.ask, self.client(urls["good"], key="sk-wrong"))
        check(error.code == "invalid_api_key" and error.type == "invalid_request_error" and error.status_code == 401, "401")
        check("Incorrect API key" in error.message, "message of 401")
        error = error_of(openai.NotFoundError, self.ask, good, model="gpt-5-imagined")
        check(error.code == "model_not_found", "404")
        error = error_of(openai.BadRequestError, self.ask, good, temperature=7)
        check(error.param == "temperature" and error.code == "unsupported_value", "400")
        error = error_of(openai.BadRequestError, self.ask, good, messages=[])
        check(error.param == "messages", "400 for messages")
        error = error_of(openai.BadRequestError, self.ask, good, extra_body={"max_tokens": 5})
        check(error.code == "unsupported_parameter", "400 for max_tokens")
        error = error_of(openai.RateLimitError, self.ask, self.client(urls["limited"]))
        check(error.code == "rate_limit_exceeded" and error.response.headers["retry-after"] == "0", "429")
        error = error_of(openai.RateLimitError, self.ask, self.client(urls["broke"]))
        check(error.type == "insufficient_quota", "429 without credits")
        check(error_of(openai.InternalServerError, self.ask, self.client(urls["failing"])).status_code == 500, "500")
        error_of(openai.APIConnectionError, self.ask, self.client(urls["dropping"]))
        error_of(openai.APITimeoutError, self.ask, self.client(urls["hanging"], timeout=1))

    def check_batches(self, urls):
        client = self.client(urls["good"])
        body = {"model": "gpt-6-luna", "messages": [{"role": "system", "content": "s"}, *MESSAGES], "response_format": FORMAT}
        lines = [{"custom_id": f"c{i}", "method": "POST", "url": "/v1/chat/completions", "body": body} for i in range(4)]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        file = client.files.create(file=("requests.jsonl", content), purpose="batch")
        check(file.object == "file" and file.bytes == len(content) and file.purpose == "batch", "uploaded file")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"posedata": "t"}
        )
        check(batch.object == "batch" and batch.status == "in_progress", "new batch")
        batch = client.batches.retrieve(batch.id)
        check(batch.status == "completed" and batch.request_counts.total == 4, "finished batch")
        check([b.metadata["posedata"] for b in client.batches.list()] == ["t"], "list of batches")
        output = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
        check([line["custom_id"] for line in output] == ["c0", "c3"], "results")
        completion = openai.types.chat.ChatCompletion.model_validate(output[0]["response"]["body"])
        check(completion.choices[0].message.content, "result")
        errors = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
        check([line["custom_id"] for line in errors] == ["c1", "c2"], "errors")
        check(errors[0]["error"]["code"] == "batch_expired" and errors[1]["response"]["status_code"] == 500, "kinds of errors")


class Anthropic:
    def __init__(self, key):
        self.key = key

    def client(self, url, key=None, timeout=20):
        return anthropic.Anthropic(base_url=url, api_key=key or self.key, max_retries=0, timeout=timeout)

    def ask(self, client, **named):
        arguments = {"model": "claude-haiku-5-5", "max_tokens": 500, "messages": MESSAGES, "tools": [TOOL], "tool_choice": {"type": "auto"}}
        return client.messages.create(**{**arguments, **named})

    def check_answers(self, urls):
        client = self.client(urls["good"])
        message = self.ask(client, system="Use the tool.")
        check(message._request_id.startswith("req_"), "request id")
        check(message.type == "message" and message.role == "assistant" and message.stop_reason == "tool_use", "message")
        block = message.content[0]
        check(block.type == "tool_use" and block.name == "record_example", "tool")
        check(set(block.input) == {"question", "answer"}, "structured answer")
        check(message.usage.input_tokens > 0 and message.usage.output_tokens > 0, "usage")
        forced = self.ask(client, model="claude-haiku-4-5", tool_choice={"type": "tool", "name": "record_example"})
        check(forced.stop_reason == "tool_use", "forced tool")
        check(self.ask(self.client(urls["truncating"])).stop_reason == "max_tokens", "truncated answer")
        check(self.ask(self.client(urls["refusing"])).stop_reason == "refusal", "refusal")

    def check_errors(self, urls):
        good = self.client(urls["good"])
        error = error_of(anthropic.AuthenticationError, self.ask, self.client(urls["good"], key="sk-wrong"))
        check(error.type == "authentication_error" and error.status_code == 401, "401")
        check(error.request_id.startswith("req_") and error.body["request_id"], "request id of an error")
        error = error_of(anthropic.NotFoundError, self.ask, good, model="claude-imagined")
        check(error.type == "not_found_error", "404")
        forced = {"type": "tool", "name": "record_example"}
        error = error_of(anthropic.BadRequestError, self.ask, good, tool_choice=forced)
        check(error.type == "invalid_request_error", "400 for a forced tool")
        error = error_of(anthropic.BadRequestError, self.ask, good, messages=[])
        check("at least one message" in error.api_message, "400 for messages")
        error_of(anthropic.BadRequestError, self.ask, good, extra_body={"max_tokens": None})
        error = error_of(anthropic.RateLimitError, self.ask, self.client(urls["limited"]))
        check(error.type == "rate_limit_error" and error.response.headers["retry-after"] == "0", "429")
        error = error_of(anthropic.PaymentRequiredError, self.ask, self.client(urls["broke"]))
        check(error.type == "billing_error", "402")
        error = error_of(anthropic.OverloadedError, self.ask, self.client(urls["overloaded"]))
        check(error.type == "overloaded_error" and error.status_code == 529, "529")
        check(error_of(anthropic.InternalServerError, self.ask, self.client(urls["failing"])).type == "api_error", "500")
        error_of(anthropic.APIConnectionError, self.ask, self.client(urls["dropping"]))
        error_of(anthropic.APITimeoutError, self.ask, self.client(urls["hanging"], timeout=1))

    def check_batches(self, urls):
        client = self.client(urls["good"])
        params = {"model": "claude-haiku-5-5", "max_tokens": 500, "messages": MESSAGES, "tools": [TOOL]}
        batch = client.messages.batches.create(requests=[{"custom_id": f"c{i}", "params": params} for i in range(4)])
        check(batch.processing_status == "in_progress" and batch.request_counts.processing == 4, "new batch")
        batch = client.messages.batches.retrieve(batch.id)
        check(batch.processing_status == "ended" and batch.request_counts.succeeded == 2, "finished batch")
        check(batch.id in [b.id for b in client.messages.batches.list()], "list of batches")
        results = {result.custom_id: result.result for result in client.messages.batches.results(batch.id)}
        check(results["c0"].type == "succeeded" and results["c0"].message.content[0].input["answer"], "result")
        check(results["c1"].type == "expired", "expired request")
        check(results["c2"].type == "errored" and results["c2"].error.error.type == "api_error", "failed request")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", required=True, help="the key that the server accepts")
    moods = ["good", "limited", "overloaded", "failing", "broke", "truncating", "refusing", "dropping", "hanging"]
    for mood in moods:
        parser.add_argument(f"--{mood}", required=True, metavar="URL", help=f"address of a server that is {mood}")
    arguments = vars(parser.parse_args())
    # A field that the libraries do not know, or of another type, is a fault of the server.
    warnings.simplefilter("error", UserWarning)
    for provider, library in [(OpenAi, openai), (Anthropic, anthropic)]:
        checks = provider(arguments["key"])
        checks.check_answers(arguments)
        checks.check_errors(arguments)
        checks.check_batches(arguments)
        print(f"{library.__name__} {library.__version__}: answers, errors and batches are understood")


if __name__ == "__main__":
    main()
