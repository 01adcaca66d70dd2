"""What the tests do with an S3 server that they started: s3.py URL setup | s3.py URL fetch KEY SECRET FOLDER."""

import json
import pathlib
import sys

import boto3
import requests

EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


def client(service, url, key="x", secret="y"):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def setup(url):
    """A bucket with object lock, a user who may use it; from then on signatures are checked."""
    iam = client("iam", url)
    iam.create_user(UserName="hallpass")
    iam.put_user_policy(
        UserName="hallpass", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING)
    )
    key = iam.create_access_key(UserName="hallpass")["AccessKey"]
    client("s3", url).create_bucket(
        Bucket="audit",
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )
    requests.post(f"{url}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    print(json.dumps({"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))


def fetch(url, key, secret, folder):
    """Fetches every object into a folder; prints name, versions and lock of each."""
    s3 = client("s3", url, key, secret)
    versions = s3.list_object_versions(Bucket="audit").get("Versions", [])
    objects = {}
    for version in versions:
        name = version["Key"]
        seen = objects.setdefault(name, {"versions": 0, "mode": None, "until": None})
        seen["versions"] += 1
        if version["IsLatest"]:
            found = s3.get_object(Bucket="audit", Key=name)
            seen["mode"] = found.get("ObjectLockMode")
            until = found.get("ObjectLockRetainUntilDate")
            seen["until"] = until and until.isoformat()
            path = pathlib.Path(folder) / pathlib.PurePosixPath(name).name
            path.write_bytes(found["Body"].read())
    print(json.dumps(objects))


def main():
    url, command, *arguments = sys.argv[1:]
    {"setup": setup, "fetch": fetch}[command](url, *arguments)


main()
