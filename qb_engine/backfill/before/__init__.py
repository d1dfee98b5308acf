"""what is seen to before a row is written: that it can run, what it will come to, how rows look"""
